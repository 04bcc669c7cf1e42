//! Closed doors: what an attacker tried, and finds shut.

mod county;
