"""A partner system: the software of a day centre that has no Relais node, written from docs/protocol/ alone."""
