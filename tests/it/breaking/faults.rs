//! Trouble, by a seed: which process or server, when, and how. The same seed gives the same list; what it meets is another
//! moment of the work each time.

use std::time::Duration;

use super::fleet::{Fleet, INGEST, SEALERS};
use super::load::Load;
use super::stack::Stack;
use crate::proxy::{Line, Proxy};

/// Longer than a group waits for a member before it gives its partitions to others.
const ZOMBIE: Duration = Duration::from_secs(8);

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KillIngest,
    KillSealer(usize),
    KillBroker,
    KillS3,
    /// Stopped, and let go on when others have its partitions.
    FreezeSealer(usize),
    FreezeIngest,
    /// So many answers of S3 are lost on their way to the sealers: what was to be written is written.
    LoseS3Answers(u32),
    /// So many answers of Kafka are lost on their way to the gateway.
    LoseKafkaAnswers(u32),
    SilentS3,
    SlowKafka,
}

impl Fault {
    fn is_kill(self) -> bool {
        matches!(self, Self::KillIngest | Self::KillSealer(_) | Self::KillBroker | Self::KillS3)
    }

    /// Of a random number.
    fn of(number: u64) -> Self {
        let sealer = SEALERS.start() + (number >> 32) as usize % SEALERS.count();
        let few = 1 + (number >> 40) as u32 % 6;
        match number % 20 {
            0..4 => Self::KillIngest,
            4..10 => Self::KillSealer(sealer),
            10 => Self::KillBroker,
            11..13 => Self::KillS3,
            13 => Self::FreezeSealer(sealer),
            14 => Self::FreezeIngest,
            15..17 => Self::LoseS3Answers(few),
            17 => Self::LoseKafkaAnswers(few),
            18 => Self::SilentS3,
            _ => Self::SlowKafka,
        }
    }
}

/// Random numbers of a seed: SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: Duration) -> Duration {
        let millis = end.as_millis().max(1) as u64;
        Duration::from_millis(self.next() % millis)
    }
}

/// What trouble is made to.
pub(crate) struct Scene<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) fleet: &'a mut Fleet,
    pub(crate) load: &'a Load,
    pub(crate) to_s3: &'a Proxy,
    pub(crate) to_kafka: &'a Proxy,
}

impl Scene<'_> {
    /// Makes trouble until so many processes and servers were killed; then everything is let go on.
    pub(crate) async fn break_things(&mut self, random: &mut Random, kills: u64) {
        let (mut killed, mut zombie) = (0, None);
        while killed < kills {
            let fault = Fault::of(random.next());
            self.make(fault, random, &mut zombie).await;
            killed += u64::from(fault.is_kill());
            eprintln!("{killed}/{kills} {fault:?}; {} acknowledged", self.load.count());
            tokio::time::sleep(random.below(Duration::from_millis(600))).await;
            self.thaw(&mut zombie, ZOMBIE);
            self.fleet.tend();
        }
        self.thaw(&mut zombie, Duration::ZERO);
        self.to_s3.set(Line::Clear);
        self.to_kafka.set(Line::Clear);
    }

    async fn make(&mut self, fault: Fault, random: &mut Random, zombie: &mut Option<Zombie>) {
        match fault {
            Fault::KillIngest => {
                self.fleet.kill(INGEST);
                self.load.set_url(self.fleet.url().await);
            }
            Fault::KillSealer(which) => {
                if zombie.is_some_and(|(frozen, _)| frozen == which) {
                    *zombie = None;
                }
                self.fleet.kill(which);
            }
            Fault::KillBroker => self.stack.restart("kafka"),
            Fault::KillS3 => {
                self.stack.kill("s3");
                tokio::time::sleep(random.below(Duration::from_secs(2))).await;
                self.stack.restart("s3");
            }
            Fault::FreezeSealer(which) => {
                if zombie.is_none() {
                    self.fleet.freeze(which, true);
                    *zombie = Some((which, std::time::Instant::now()));
                }
            }
            Fault::FreezeIngest => {
                self.fleet.freeze(INGEST, true);
                tokio::time::sleep(random.below(Duration::from_secs(3))).await;
                self.fleet.freeze(INGEST, false);
            }
            Fault::LoseS3Answers(answers) => self.to_s3.set(Line::Losing(answers)),
            Fault::LoseKafkaAnswers(answers) => self.to_kafka.set(Line::Losing(answers)),
            Fault::SilentS3 => self.during(self.to_s3, Line::Silent, random).await,
            Fault::SlowKafka => {
                let slow = Line::Slow(Duration::from_millis(200));
                self.during(self.to_kafka, slow, random).await;
            }
        }
    }

    async fn during(&self, proxy: &Proxy, line: Line, random: &mut Random) {
        proxy.set(line);
        tokio::time::sleep(random.below(Duration::from_secs(3))).await;
        proxy.set(Line::Clear);
    }

    fn thaw(&mut self, zombie: &mut Option<Zombie>, after: Duration) {
        if let Some((which, since)) = *zombie
            && since.elapsed() >= after
        {
            self.fleet.freeze(which, false);
            *zombie = None;
        }
    }
}

/// The sealer that is frozen, and since when.
type Zombie = (usize, std::time::Instant);
