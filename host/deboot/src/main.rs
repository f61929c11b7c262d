//! The `deboot` program; see `deboot --help` and [`deboot::cli`].
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    deboot::cli::main(std::env::args_os())
}
