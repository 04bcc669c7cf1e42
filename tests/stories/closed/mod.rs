//! Closed doors: what strangers, mistakes and broken machines do not bring about.

mod chain;
mod bounds;
mod disk;
