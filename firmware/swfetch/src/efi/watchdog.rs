//! The boot watchdog: firmware resets the machine five minutes after starting a boot option unless told otherwise.
use uefi::boot;

/// First code outside the range reserved for firmware.
const CODE: u64 = 0x1_0000;

/// Switches the watchdog off. Repeated around long phases, because some firmware starts it again on its own.
pub(crate) fn disable() {
    // Firmware without a watchdog reports UNSUPPORTED, which is as good as off.
    let _ = boot::set_watchdog_timer(0, CODE, None);
}
