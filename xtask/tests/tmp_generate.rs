//! temporary
#[path = "../src/generate.rs"]
mod generate;
#[test]
fn write() { generate::run(false).unwrap(); generate::run(true).unwrap(); }
