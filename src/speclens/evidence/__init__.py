"""What vetting and pages need of each hit, gathered once and stored."""
