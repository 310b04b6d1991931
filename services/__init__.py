"""The services of a node: intake, referral, notify."""
