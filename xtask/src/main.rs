//! Every developer verb: `cargo xtask help` lists them.
//!
//! xtask itself stays small and quick to build: it drives `cargo`, `deboot` and QEMU as processes. All of them die with it.
#![forbid(unsafe_code)]

mod accelerator;
mod bee_lab;
mod bench;
mod boot;
mod bridge;
mod check;
mod chunk_set;
mod cli;
mod demo;
mod devnet;
mod fuzz;
mod http;
mod image;
mod licences;
mod packages;
mod paths;
mod process;
mod programs;
mod qemu;
mod report;
mod run_test;
mod scenarios;
mod serial;
mod stage;
mod table;
mod test;
mod tidy;

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
