//! Closed doors: what an attacker, a curious clerk or a faulty peer tries, and what holds.

mod received;
