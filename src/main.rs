//! Arguments, environment and the time go in; an exit code comes out.

fn main() {}
