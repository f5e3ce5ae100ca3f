//! The `umbel` binary: everything is in the library.

use std::process::ExitCode;

/// Many small allocations on many threads are most of what a node does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    umbel::cli::main()
}
