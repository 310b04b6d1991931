"""How nodes are brought up."""
