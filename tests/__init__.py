"""The tests of trtnemo."""
