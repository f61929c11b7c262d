//! Everything that talks to firmware. Small modules, one firmware interface each.
pub(crate) mod clock;
pub(crate) mod console;
pub(crate) mod entropy;
pub(crate) mod handover;
pub(crate) mod heap;
pub(crate) mod nic;
pub(crate) mod panic;
mod pci;
pub(crate) mod services;
pub(crate) mod variables;
pub(crate) mod volume;
pub(crate) mod waiting;
pub(crate) mod watchdog;
