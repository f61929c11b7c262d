//! SWFETCH.EFI: started by firmware, boots Linux from Swarm.
#![cfg_attr(target_os = "uefi", no_std, no_main)]

#[cfg(target_os = "uefi")]
extern crate alloc;

#[cfg(target_os = "uefi")]
mod efi;
#[cfg(target_os = "uefi")]
mod program;

#[cfg(not(target_os = "uefi"))]
fn main() {
    eprintln!(
        "this is a program for UEFI firmware: build it with `cargo build -p swfetch --profile firmware --target x86_64-unknown-uefi`"
    );
    std::process::exit(2);
}
