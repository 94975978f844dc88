"""Which format each module gets: by kind of layer, as a release has it, or as a recipe of ModelOpt says."""
