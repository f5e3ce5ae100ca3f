//! Effect tests of one group, and of a few that talk to each other.
