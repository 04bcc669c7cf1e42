//! Doors that stay closed: what was tried on running nodes as an attacker would, and no longer works.

mod bounds;
