//! Model tests: the event loop's timers, table of connections and table of descriptors, each
//! compared with a trivial implementation of the same behavior.

use ch03_nonblocking::fd_table::FdTable;
use ch03_nonblocking::poller::{Interest, Ready, Token};
use ch03_nonblocking::table::Table;
use ch03_nonblocking::timers::Timers;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[derive(Clone, Debug)]
enum Tick {
    /// Sets the deadline of an index to the given time from now.
    Set(u32, Duration),
    Clear(u32),
    /// Lets this much time pass.
    Pass(Duration),
    /// Lets time pass until the next deadline that the timers report.
    PassToNext,
}

fn tick() -> impl Strategy<Value = Tick> {
    // Durations from microseconds to years, and occasionally millions of years, so that every dial
    // of the timing wheel is used.
    let time = (0u32..46).prop_flat_map(|bits| 0u64..=1 << bits);
    let time = time.prop_map(Duration::from_micros);
    let ages = |most| (36u32..most).prop_flat_map(|bits| 0u64..=1 << bits);
    let (after, passes) = (
        ages(63).prop_map(Duration::from_millis),
        ages(56).prop_map(Duration::from_millis),
    );
    prop_oneof![
        8 => (0u32..12, time.clone()).prop_map(|(index, after)| Tick::Set(index, after)),
        1 => (0u32..12, after).prop_map(|(index, after)| Tick::Set(index, after)),
        1 => (0u32..12).prop_map(Tick::Clear),
        3 => time.prop_map(Tick::Pass),
        1 => passes.prop_map(Tick::Pass),
        3 => Just(Tick::PassToNext),
    ]
}

/// The timing wheel has several levels. A deadline at the first or the last slot of any level is
/// reported neither early nor late, and the search for the next deadline terminates even if no
/// deadline is set.
#[test]
fn timers_of_every_size() {
    let edges = (0..u64::BITS).flat_map(|bits| {
        let edge = 1u64 << bits;
        [
            edge - 1,
            edge,
            edge + 1,
            edge + (edge >> 6),
            edge + (edge >> 7),
            edge.wrapping_neg(),
        ]
    });
    let mut edges: Vec<u64> = edges.chain([u64::MAX]).filter(|&due| due > 0).collect();
    edges.sort_unstable();
    edges.dedup();
    let start = Instant::now();
    let mut timers = Timers::new(start);
    for (index, &due) in edges.iter().enumerate() {
        timers.set(index as u32, start + Duration::from_millis(due));
    }
    let mut late = Vec::new();
    for (index, &due) in edges.iter().enumerate() {
        timers.expired(start + Duration::from_millis(due - 1), &mut late);
        assert_eq!(late, [], "{due} ms are not over");
        timers.expired(start + Duration::from_millis(due), &mut late);
        assert_eq!(late, [index as u32], "after {due} ms");
        late.clear();
    }
    assert_eq!(timers.next(), None);
    // A deadline beyond `u64::MAX` milliseconds counts as `u64::MAX`, and so does the
    // current time: the deadline expires.
    timers.set(0, start + Duration::from_secs(u64::MAX / 1000 + 1));
    timers.expired(start + Duration::from_secs(u64::MAX / 500), &mut late);
    assert_eq!(late, [0]);
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn timers(ticks in vec(tick(), 1..120)) {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let mut model = BTreeMap::new();
        let mut now = Duration::ZERO;
        // The latest time, in milliseconds, up to which the timers have reported deadlines.
        let mut seen = 0;
        // Number of deadlines that were cleared or moved. For each of them, the timers may still
        // wake up once in vain.
        let mut ghosts = 0;
        // Whether the last wake-up was for a deadline that was cleared or moved.
        let mut in_vain = false;
        for tick in ticks {
            match tick {
                Tick::Set(index, after) => {
                    let at = now + after;
                    timers.set(index, start + at);
                    // The timers round a deadline up to a millisecond, and move a past deadline to
                    // the next millisecond.
                    let at = at.as_micros().div_ceil(1000).max(seen + 1);
                    ghosts += u32::from(model.insert(index, at).is_some());
                    in_vain = false;
                    continue;
                }
                Tick::Clear(index) => {
                    timers.clear(index);
                    ghosts += u32::from(model.remove(&index).is_some());
                    in_vain = false;
                    continue;
                }
                Tick::Pass(time) => now += time,
                Tick::PassToNext => {
                    let next = timers.next();
                    let first = model.values().min();
                    prop_assert_eq!(next.is_some(), first.is_some());
                    let (Some(next), Some(&first)) = (next, first) else { continue };
                    let next = next.saturating_duration_since(start);
                    prop_assert!(next.as_millis() <= first, "no deadline is reported late");
                    prop_assert!(next > Duration::from_millis(seen as u64), "{:?} is in the past", next);
                    if next.as_millis() < first {
                        prop_assert!(ghosts > 0, "no deadline was set for {:?}", next);
                        prop_assert!(!in_vain, "two needless wake-ups in a row, at {:?}", next);
                        ghosts -= 1;
                    }
                    in_vain = next.as_millis() < first;
                    now = now.max(next);
                }
            }
            let mut late = Vec::new();
            timers.expired(start + now, &mut late);
            late.sort_unstable();
            seen = seen.max(now.as_millis());
            let due: Vec<u32> =
                model.iter().filter(|(_, at)| **at <= seen).map(|(index, _)| *index).collect();
            model.retain(|_, at| *at > seen);
            // A deadline has expired since the last needless wake-up, so another one is allowed.
            in_vain &= due.is_empty();
            prop_assert_eq!(&late, &due, "at {:?}", now);
        }
        // The timers wake up for every remaining deadline.
        while let Some(next) = timers.next() {
            let mut late = Vec::new();
            timers.expired(next, &mut late);
            for index in late {
                let at = model.remove(&index);
                prop_assert!(
                    at.is_some_and(|at| start + Duration::from_millis(at as u64) <= next)
                );
            }
        }
        prop_assert_eq!(model, BTreeMap::new());
    }

    #[test]
    fn table(steps in vec((any::<bool>(), any::<prop::sample::Index>()), 1..200)) {
        let mut table = Table::new();
        let mut model: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        let mut ever: Vec<Token> = Vec::new();
        let mut most = 0;
        for (value, (insert, which)) in steps.into_iter().enumerate() {
            if insert || ever.is_empty() {
                let token = table.insert(value);
                prop_assert!(!ever.contains(&token), "no token is used twice");
                model.insert((token.index, token.generation), value);
                most = most.max(model.len());
                prop_assert!((token.index as usize) < most, "slots are reused");
                ever.push(token);
            } else {
                let token = ever[which.index(ever.len())];
                let gone = model.remove(&(token.index, token.generation));
                prop_assert_eq!(table.remove(token), gone);
            }
            prop_assert_eq!(table.len(), model.len());
            prop_assert_eq!(table.is_empty(), model.is_empty());
        }
        for token in &ever {
            let mut there = model.get(&(token.index, token.generation)).copied();
            prop_assert_eq!(table.get_mut(*token), there.as_mut());
            prop_assert_eq!(Token::from_bits(token.to_bits()), *token);
        }
        let here: Vec<_> =
            table.tokens().into_iter().map(|token| (token.index, token.generation)).collect();
        prop_assert_eq!(&here, &model.keys().copied().collect::<Vec<_>>());
        for (index, generation) in here {
            prop_assert_eq!(table.token(index), Some(Token { index, generation }));
        }
    }

    #[test]
    fn watched(steps in vec((0usize..20, 0u32..5, 0usize..4), 1..100)) {
        let files: Vec<File> = (0..20).map_while(|_| File::open("/dev/null").ok()).collect();
        let interests =
            [Interest::NONE, Interest::READ, Interest::WRITE, Interest::READ | Interest::WRITE];
        let mut watched = FdTable::default();
        let mut model = BTreeMap::new();
        for (which, generation, interest) in steps {
            let fd = files[which].as_fd();
            if generation == 0 {
                watched.remove(fd);
                model.remove(&fd.as_raw_fd());
            } else {
                let token = Token { index: which as u32, generation };
                watched.set(fd, token, interests[interest]);
                model.insert(fd.as_raw_fd(), (token, interests[interest]));
            }
            for file in &files {
                let fd = file.as_raw_fd();
                prop_assert_eq!(watched.get(fd), model.get(&fd).copied());
            }
            prop_assert_eq!(watched.get(-1), None);
            prop_assert_eq!(watched.end(), model.keys().max().map_or(0, |fd| fd + 1));
            let all: Vec<Ready> = watched.maybe_ready().collect();
            let maybe = |&(token, interest)| Ready::maybe(token, interest);
            prop_assert_eq!(all, model.values().map(maybe).collect::<Vec<_>>());
        }
    }
}
