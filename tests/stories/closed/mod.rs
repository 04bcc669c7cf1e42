//! Closed doors: what strangers, mistakes and broken machines do not bring about.

mod bounds;
mod county;
mod disk;
