//! Closed doors: what strangers, mistakes and broken machines do not bring about.

mod audit;
mod bounds;
mod disk;
