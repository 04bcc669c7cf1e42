//! Closed doors: what an attacker tried, and finds shut.

mod county;
//! Closed doors: what strangers, mistakes and broken machines do not bring about.

mod bounds;
mod disk;
