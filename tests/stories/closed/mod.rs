//! Closed doors: what strangers, mistakes and broken machines do not bring about.

mod disk;
mod tokens;
mod walk;
