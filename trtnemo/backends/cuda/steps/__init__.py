"""Steps as a device runs them: their inputs at fixed places, graphs run node by node or captured, tokens drawn."""
