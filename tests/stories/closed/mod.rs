//! Closed doors: what an attacker, a thief of the disk or a mistake must not be able to do.

mod audit;
