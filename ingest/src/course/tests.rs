//! The switch in a world of lists: a topic, a spool, a client that delivers in order or loses what it has.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

const PATIENCE: Duration = Duration::from_secs(2);

/// What is in the client's hands: of the spool, with the offset behind it, or direct.
#[derive(Clone, Copy, Debug)]
enum Handed {
    Spooled(u64),
    Direct(u32),
}

#[derive(Debug)]
struct World {
    now: Instant,
    course: Course,
    start: u64,
    spool: Vec<u32>,
    handed: VecDeque<(Instant, Handed)>,
    topic: Vec<u32>,
    acknowledged: BTreeSet<u32>,
    sent: u32,
}

impl World {
    fn new(now: Instant, is_there: bool) -> Self {
        let mut course = Course::new(0, is_there, PATIENCE);
        course.turn_direct(0, Duration::ZERO);
        Self {
            now,
            course,
            start: 0,
            spool: Vec::new(),
            handed: VecDeque::new(),
            topic: Vec::new(),
            acknowledged: BTreeSet::new(),
            sent: 0,
        }
    }

    fn next(&self) -> u64 {
        u64::try_from(self.spool.len()).unwrap()
    }

    fn message(&self, handed: Handed) -> u32 {
        match handed {
            Handed::Direct(message) => message,
            Handed::Spooled(to) => self.spool[usize::try_from(to - 1).unwrap()],
        }
    }

    fn send(&mut self) {
        self.sent += 1;
        if self.course.is_direct() {
            self.handed.push_back((self.now, Handed::Direct(self.sent)));
        } else {
            self.spool.push(self.sent);
            self.acknowledged.insert(self.sent);
        }
    }

    /// The broker takes what the client has had longest.
    fn deliver(&mut self) {
        let Some((_, handed)) = self.handed.pop_front() else { return };
        let message = self.message(handed);
        self.topic.push(message);
        self.acknowledged.insert(message);
        if let Handed::Spooled(to) = handed {
            self.course.delivered(to);
            self.start = to;
        }
    }

    /// Of what the client has, the broker takes the first few, and nobody hears of it.
    fn withdraw(&mut self, unheard: usize) {
        let handed = std::mem::take(&mut self.handed);
        let taken: Vec<u32> = handed.iter().map(|(_, handed)| self.message(*handed)).collect();
        self.topic.extend(taken.into_iter().take(unheard));
        for (_, handed) in handed {
            if let Handed::Direct(message) = handed {
                self.spool.push(message);
                self.acknowledged.insert(message);
            }
        }
        self.course.away(self.now, Duration::from_secs(1));
    }

    fn oldest(&self) -> Duration {
        self.handed.front().map_or(Duration::ZERO, |(at, _)| self.now - *at)
    }

    fn step(&mut self, unheard: usize) {
        if self.course.is_overdue(self.oldest()) {
            self.withdraw(unheard);
        }
        let bytes = |handed: &VecDeque<_>| handed.len() * (STRETCH_BYTES / 2);
        while let Some((from, _)) = self.course.stretch(self.now, self.next(), bytes(&self.handed))
        {
            self.course.handed(from + 1);
            self.handed.push_back((self.now, Handed::Spooled(from + 1)));
        }
        self.course.turn_direct(self.next(), self.oldest());
    }

    /// Killed and started again: the client's messages are gone, the spool is what it was.
    fn restart(&mut self, is_there: bool, unheard: usize) {
        let handed = std::mem::take(&mut self.handed);
        let taken: Vec<u32> = handed.iter().map(|(_, handed)| self.message(*handed)).collect();
        self.topic.extend(taken.into_iter().take(unheard));
        self.course = Course::new(self.start, is_there, PATIENCE);
        self.course.turn_direct(self.next(), Duration::ZERO);
    }
}

#[derive(Clone, Debug)]
enum Event {
    Send,
    Deliver,
    Wait(u64),
    Fail(usize),
    Restart(bool, usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => Just(Event::Send),
        8 => Just(Event::Deliver),
        4 => (0u64..3000).prop_map(Event::Wait),
        1 => (0usize..4).prop_map(Event::Fail),
        1 => (any::<bool>(), 0usize..4).prop_map(|(there, unheard)| Event::Restart(there, unheard)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_gets_onto_the_topic_and_the_first_of_each_in_order(
        is_there: bool,
        events in prop::collection::vec(event(), 0..200),
    ) {
        // The one clock there is; it only ever moves by what the test says.
        let mut world = World::new(start(), is_there);
        for event in events {
            match event {
                Event::Send => world.send(),
                Event::Deliver => world.deliver(),
                Event::Wait(millis) => world.now += Duration::from_millis(millis),
                Event::Fail(unheard) => world.withdraw(unheard),
                Event::Restart(is_there, unheard) => world.restart(is_there, unheard),
            }
            world.step(1);
        }
        // Kafka stays from here on.
        for _ in 0..1000 {
            world.now += Duration::from_millis(100);
            world.step(0);
            while !world.handed.is_empty() {
                world.deliver();
            }
        }
        prop_assert_eq!(world.course.head(), world.next());
        let mut seen = BTreeSet::new();
        let firsts: Vec<u32> =
            world.topic.iter().copied().filter(|message| seen.insert(*message)).collect();
        prop_assert!(firsts.is_sorted(), "{:?}", world.topic);
        prop_assert!(world.acknowledged.is_subset(&seen));
    }
}

#[expect(clippy::disallowed_methods, reason = "an instant to count from")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn one_stretch_finds_out_whether_kafka_is_back_and_then_many_follow() {
    let now = start();
    let mut course = Course::new(5, false, PATIENCE);
    assert_eq!(course.stretch(now, 5, 0), None);
    assert_eq!(course.stretch(now, 9, 0), Some((5, PROBE_BYTES)));
    course.handed(6);
    assert_eq!(course.stretch(now, 9, 1), None);
    assert!(!course.turn_direct(6, Duration::ZERO), "nothing says that Kafka is there");
    course.delivered(6);
    assert_eq!(course.stretch(now, 9, 1), Some((6, STRETCH_BYTES)));
    assert_eq!(course.stretch(now, 9, WINDOW_BYTES), None);
    course.handed(9);
    assert!(!course.turn_direct(9, PATIENCE), "what it has had so long it may never deliver");
    assert!(course.turn_direct(9, Duration::ZERO) && course.is_direct());
    assert!(course.is_overdue(PATIENCE * 2) && !course.is_overdue(PATIENCE));
    course.away(now, Duration::from_secs(1));
    assert_eq!(course.stretch(now, 10, 0), None);
    assert_eq!(course.stretch(now + PATIENCE, 10, 0), Some((6, PROBE_BYTES)));
}
