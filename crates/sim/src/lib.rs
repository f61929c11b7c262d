//! A seeded virtual world for tests: clock, links, storers with bee's accounting, and storers that lie, hang or break off.
//!
//! The client is the real [`swarm::Node`]; every byte goes through real libp2p connections on both ends. Time is virtual: nothing
//! here looks at a clock, so a run depends on its seed alone.
#![forbid(unsafe_code)]

mod account;
mod dice;
mod fetch;
mod link;
mod spread;
mod storer;
mod storers;
mod world;

pub use account::Profile;
pub use dice::Dice;
pub use fetch::{Fetch, chunks};
pub use link::LinkSpec;
pub use storer::{Fault, StorerSpec};
pub use storers::Storers;
pub use world::World;
