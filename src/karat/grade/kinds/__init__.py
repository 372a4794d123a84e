"""How candidates of each kind of task are run and compared, one file a kind."""
