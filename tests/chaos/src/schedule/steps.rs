//! How steps are drawn. What a fault is to strike has to be asked for: a fault
//! is followed by what makes the operator call.

use super::{
    AzureFault, Call, Edit, Hand, Kill, KubeCall, KubeFault, SLOTS, Schedule, Shape, Side, Step,
    VALUES, Whose,
};
use crate::draw::Draw;
use crate::wanted::{Change, Wanted};

/// Two are there from the beginning; the others come and go.
fn slot(draw: &mut Draw) -> u8 {
    draw.weighted(&[(8, 0), (8, 1), (3, 2), (1, SLOTS - 1)])
}

fn byte(draw: &mut Draw, least: u32, most: u32) -> u8 {
    u8::try_from(draw.between(least, most)).unwrap_or(1)
}

fn short(draw: &mut Draw, least: u32, most: u32) -> u16 {
    u16::try_from(draw.between(least, most)).unwrap_or(1)
}

impl Schedule {
    pub(super) fn draw_steps(&mut self, draw: &mut Draw) {
        if draw.chance(12) {
            self.squat(draw);
        }
        for slot in 0..2 {
            let wanted = self.wanted(draw);
            self.steps.push(Step::Create { slot, wanted });
        }
        // Else what follows strikes an operator that is only starting.
        if draw.chance(75) {
            self.steps.push(Step::Settle);
        }
        let count = draw.between(10, 24) as usize;
        while self.steps.len() < count {
            self.draw_step(draw);
        }
        // What waits for a call gets one.
        if self.steps.iter().any(|step| matches!(step, Step::Azure(_))) && draw.chance(60) {
            self.stamp(draw);
            self.provoke(draw, Call::Api);
            self.steps.push(Step::Settle);
        }
    }

    fn wanted(&self, draw: &mut Draw) -> Wanted {
        let mut wanted = Wanted::draw(draw);
        wanted.second &= self.two;
        wanted
    }

    fn squat(&mut self, draw: &mut Draw) {
        let slot = slot(draw);
        let second = self.two && draw.chance(30);
        let whose = draw.one(&[Whose::Nobody, Whose::OtherCluster, Whose::OtherObject]);
        self.steps.push(Step::Squat {
            slot,
            second,
            whose,
        });
        let mut wanted = self.wanted(draw);
        wanted.second = second;
        self.steps.push(Step::Create { slot, wanted });
    }

    fn change(&mut self, draw: &mut Draw, slot: u8) {
        let mut change = Change::draw(draw);
        // Nothing of these can be seen elsewhere.
        if matches!(change, Change::Second(_)) && !self.two
            || matches!(change, Change::Drift(_)) && !self.sweeps
        {
            change = Change::limit(draw);
        }
        let moves = matches!(change, Change::Second(_));
        self.steps.push(Step::Change { slot, change });
        // A move that dies half-way is what matters of moves.
        if moves && draw.chance(60) {
            let kill = Kill::AtAzureWrite {
                after: byte(draw, 0, 4),
                done: draw.chance(60),
            };
            self.steps.extend([Step::Kill(kill), Step::Start]);
        }
    }

    fn owner(&mut self, draw: &mut Draw) {
        let slot = slot(draw);
        match draw.below(20) {
            0..=3 => {
                let wanted = self.wanted(draw);
                self.steps.push(Step::Create { slot, wanted });
            }
            4..=15 => self.change(draw, slot),
            16..=18 => self.steps.push(Step::Delete { slot }),
            _ => self.steps.push(Step::Endpoint {
                slot,
                ready: draw.chance(50),
            }),
        }
    }

    /// Somebody does what makes the operator call so, whatever is in the slots.
    fn provoke(&mut self, draw: &mut Draw, call: Call) {
        match call {
            Call::Api | Call::Poll => {
                for slot in 0..2 {
                    let change = Change::operations(draw);
                    self.steps.push(Step::Change { slot, change });
                }
            }
            // Reaches every API that is published.
            Call::Policy | Call::Any | Call::Read => self.stamp(draw),
            Call::Delete => self.steps.push(Step::Delete { slot: 0 }),
            Call::Token => {
                let minutes = short(draw, 90, 300);
                self.steps.push(Step::AzureClock { minutes });
                self.stamp(draw);
            }
            Call::Service => self.steps.extend([Step::Kill(Kill::Now), Step::Start]),
        }
    }

    fn stamp(&mut self, draw: &mut Draw) {
        let stamp = draw.chance(90).then(|| short(draw, 1, 99));
        self.steps.push(Step::Stamp(stamp));
    }

    fn azure(&mut self, draw: &mut Draw) {
        let fault = AzureFault::draw(draw);
        let call = fault.call;
        if matches!(call, Call::Delete | Call::Api | Call::Poll) {
            // Nothing happens to what is not there.
            let (slot, wanted) = (0, self.wanted(draw));
            self.steps.push(Step::Create { slot, wanted });
            if call == Call::Delete {
                self.steps.push(Step::Settle);
            }
        }
        self.steps.push(Step::Azure(fault));
        if draw.chance(90) {
            self.provoke(draw, call);
            self.pause(draw);
        }
    }

    fn kube(&mut self, draw: &mut Draw) {
        let fault = KubeFault::draw(draw);
        let call = match &fault {
            KubeFault::Calls { call, .. } => Some(*call),
            _ => None,
        };
        self.steps.push(Step::Kube(fault));
        match call {
            Some(KubeCall::Watch | KubeCall::List) if draw.chance(60) => {
                let broken = draw.chance(50);
                self.steps
                    .push(Step::Kube(KubeFault::CutWatches { broken }));
            }
            Some(KubeCall::Hold) if draw.chance(80) => {
                self.stamp(draw);
                self.steps.extend([Step::Stamp(None), Step::Settle]);
            }
            Some(KubeCall::Finalizer) if draw.chance(70) => {
                let (slot, wanted) = (SLOTS - 1, self.wanted(draw));
                self.steps.push(Step::Create { slot, wanted });
                self.pause(draw);
                self.steps.push(Step::Delete { slot });
            }
            Some(KubeCall::Ingress) if draw.chance(80) => {
                for slot in 0..2 {
                    let change = Change::Path(byte(draw, 0, 2));
                    self.steps.push(Step::Change { slot, change });
                }
                self.pause(draw);
            }
            Some(KubeCall::Status | KubeCall::Write | KubeCall::Any) => {
                self.provoke(draw, Call::Policy);
                self.pause(draw);
            }
            _ => {}
        }
    }

    /// Time for the operator to come to it.
    fn pause(&mut self, draw: &mut Draw) {
        let step = match draw.below(10) {
            0..=6 => Step::Settle,
            7 | 8 => Step::Wait {
                calls: byte(draw, 2, 12),
            },
            _ => return,
        };
        self.steps.push(step);
    }

    fn edit(&mut self, draw: &mut Draw) {
        let slot = slot(draw);
        let edit = Edit::draw(draw);
        self.steps.push(Step::Edit { slot, edit });
        if draw.chance(30) {
            self.owner(draw);
        }
    }

    fn draw_step(&mut self, draw: &mut Draw) {
        let slot = slot(draw);
        let step = match draw.below(120) {
            // Two that both believe that they lead leave what only a sweep finds.
            78 | 79 if self.elected || self.sweeps => Step::Second(draw.chance(70)),
            84..=95 if self.sweeps => return self.edit(draw),
            0..=33 | 78 | 79 | 84..=97 => return self.owner(draw),
            34 | 35 => Step::Stamp(draw.chance(70).then(|| short(draw, 1, 99))),
            36..=52 => return self.azure(draw),
            53 | 54 => Step::Imports {
                shape: draw.one(&[Shape::Sync, Shape::AsyncOperation, Shape::Location]),
                polls: byte(draw, 0, 4),
            },
            55 => Step::AzureClock {
                minutes: short(draw, 30, 300),
            },
            56 if self.elected => Step::LeaseClock {
                minutes: draw.one(&[-600, -5, 1, 30, 600]),
            },
            56..=66 => return self.kube(draw),
            67 if draw.chance(25) => Step::RestartApiserver,
            67..=77 => {
                let kill = Kill::draw(draw);
                if matches!(kill, Kill::AtAzureWrite { .. } | Kill::AtKubeWrite { .. })
                    && draw.chance(70)
                {
                    let call = draw.one(&[Call::Api, Call::Policy, Call::Delete]);
                    self.provoke(draw, call);
                }
                self.steps.push(Step::Kill(kill));
                // Something may happen while it is away.
                if draw.chance(50) {
                    self.owner(draw);
                }
                Step::Start
            }
            80..=83 => Step::Hand {
                slot,
                edit: Hand::draw(draw),
            },
            98 | 99 => return self.squat(draw),
            100 | 101 => Step::Holder(draw.chance(65)),
            102..=104 => Step::Appears {
                value: byte(draw, 0, u32::from(VALUES) - 1),
            },
            105..=108 => Step::Partition {
                from: draw.one(&[Side::Azure, Side::ApiServer, Side::Both]),
                milliseconds: short(draw, 50, 500),
            },
            109..=115 => Step::Wait {
                calls: byte(draw, 1, 12),
            },
            _ => Step::Settle,
        };
        self.steps.push(step);
    }
}
