//! Sleeping until a frame or a time, with the processor halted by firmware.
use core::time::Duration;
use uefi::Event;
use uefi::boot::{self, EventType, TimerTrigger, Tpl};

/// A timer and, where the driver has one, the event of an arriving frame.
pub(crate) struct Waiting {
    events: [Option<Event>; 2],
}

impl Waiting {
    /// Makes the timer. Without one, waiting falls back to stalling.
    pub(crate) fn new(packet: Option<Event>) -> Self {
        // SAFETY: no notification function and no context: the event is only polled.
        let timer = unsafe { boot::create_event(EventType::TIMER, Tpl::APPLICATION, None, None) };
        Self {
            events: [timer.ok(), packet],
        }
    }

    /// Sleeps for `pause` or until a frame arrives. Firmware wakes up on its timer tick, so up to 10 ms longer.
    pub(crate) fn sleep(&mut self, pause: Duration) {
        let [Some(timer), packet] = &self.events else {
            boot::stall(pause.min(Duration::from_millis(1)));
            return;
        };
        if boot::set_timer(timer, TimerTrigger::Relative(pause)).is_err() {
            boot::stall(pause.min(Duration::from_millis(1)));
            return;
        }
        // SAFETY: both clones live only during this call; the originals keep the events open.
        let timer_again = unsafe { timer.unsafe_clone() };
        let result = match packet {
            Some(packet) => {
                // SAFETY: as above; the driver closes its event only when it is stopped, after `self` is gone.
                let packet_again = unsafe { packet.unsafe_clone() };
                boot::wait_for_event(&[timer_again, packet_again]).map(|_| ())
            }
            None => boot::wait_for_event(&[timer_again]).map(|_| ()),
        };
        if result.is_err() {
            // An event firmware does not accept: never try it again.
            self.events[1] = None;
            boot::stall(Duration::from_millis(1));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(timer) = self.events[0].take() {
            // Nothing else refers to it; an error would leave one idle timer behind.
            let _ = boot::close_event(timer);
        }
    }
}
