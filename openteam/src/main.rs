//! openteam
fn main() {}
