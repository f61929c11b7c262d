//! The end of a broken invariant or of memory: says so on the console and gives the machine back to firmware.
use super::heap;
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::time::Duration;
use swfetch::failure::id;
use uefi::boot;
use uefi::runtime::{self, ResetType};
use uefi::{CStr16, Status, system};

/// Time to read the message before the machine starts again.
const READING_TIME: Duration = Duration::from_secs(30);

/// Writes to `ConOut` without allocating.
struct Plain;

impl Write for Plain {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            let unit = if char.is_ascii() {
                char as u16
            } else {
                u16::from(b'?')
            };
            let units: &[u16] = if unit == u16::from(b'\n') {
                &[13, 10, 0]
            } else {
                &[unit, 0]
            };
            if let Ok(text) = CStr16::from_u16_with_nul(units) {
                let _ = system::with_stdout(|output| output.output_string(text));
            }
        }
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let held = heap::usage_raw();
    let _ = writeln!(
        Plain,
        "\n*** {} the loader has a bug: {info}\n    heap: {} kB held, {} kB at most\n    next:  report this text; the machine restarts in {} s",
        id::INTERNAL,
        held.now_bytes / 1024,
        held.peak_bytes / 1024,
        READING_TIME.as_secs()
    );
    boot::stall(READING_TIME);
    // Returning to firmware would leave protocols pointing into this image: a reset is the only clean way out.
    runtime::reset(ResetType::COLD, Status::ABORTED, None)
}
