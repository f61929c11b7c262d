//! Every developer verb: `cargo xtask help` lists them.
//!
//! xtask itself stays small and quick to build: it drives `cargo`, `deboot` and QEMU as processes. All of them die with it.
#![forbid(unsafe_code)]

mod accelerator;
mod bee_lab;
mod boot;
mod cli;
mod demo;
mod devnet;
mod image;
mod packages;
mod paths;
mod process;
mod programs;
mod qemu;
mod serial;
mod stage;
mod table;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
