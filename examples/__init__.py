"""Programs and data to copy from: a partner system, and referrals to hand over. None of it is part of a node."""
