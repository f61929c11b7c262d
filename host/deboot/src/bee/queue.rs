//! A bounded queue between the thread that cuts chunks and those that send them.
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Items for workers, at most `capacity` waiting.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    capacity: usize,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                closed: false,
            }),
            changed: Condvar::new(),
            capacity,
        }
    }

    /// Puts an item in. Returns it when there was no room for `wait`, or when the queue is closed.
    pub(super) fn push(&self, item: T, wait: Duration) -> Result<(), T> {
        let full = |state: &mut State<T>| state.items.len() >= self.capacity && !state.closed;
        let waited = self.changed.wait_timeout_while(self.lock(), wait, full);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed || state.items.len() >= self.capacity {
            return Err(item);
        }
        state.items.push_back(item);
        self.changed.notify_all();
        Ok(())
    }

    /// Takes an item; waits for one. `None` when the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<T> {
        let empty = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        let waited = self.changed.wait_while(self.lock(), empty);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let item = state.items.pop_front();
        self.changed.notify_all();
        item
    }

    /// Lets nothing more in.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Lets nothing more in and throws away what waits.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.items.clear();
        self.changed.notify_all();
    }

    // A worker that panicked between two statements leaves the list whole.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_gives_the_item_back_and_a_closed_one_is_emptied() {
        let queue = Queue::new(2);
        let now = Duration::ZERO;
        assert_eq!(queue.push(1, now), Ok(()));
        assert_eq!(queue.push(2, now), Ok(()));
        assert_eq!(queue.push(3, now), Err(3));
        assert_eq!(queue.pop(), Some(1));
        queue.close();
        assert_eq!(queue.push(4, now), Err(4));
        assert_eq!((queue.pop(), queue.pop()), (Some(2), None));
        let queue = Queue::new(2);
        assert_eq!(queue.push(1, now), Ok(()));
        queue.abandon();
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn everything_that_goes_in_comes_out_once() {
        let queue = Queue::new(3);
        let mut all: Vec<u32> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>()))
                .collect();
            for n in 0..1000 {
                queue.push(n, Duration::from_secs(60)).unwrap();
            }
            queue.close();
            workers
                .into_iter()
                .flat_map(|w| w.join().unwrap())
                .collect()
        });
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
    }
}
