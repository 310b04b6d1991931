"""The append-only log: Merkle tree, signed notes, checkpoints, proofs."""
