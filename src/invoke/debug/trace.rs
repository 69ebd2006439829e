//! What a whole invocation did, as the points that it passed, and where a step goes from one of them: forward or back, a
//! step is a look into this list. To be there, the guest is run to that many points.

use super::points::Points;

/// A point passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed {
    pub point: u32,
    /// Functions that were running, inlined ones included. 0 where steps do not stop.
    depth: u16,
    /// Whether a line begins: another one than the function's last, or the same once more.
    begins: bool,
}

#[derive(Default)]
pub(super) struct Trace {
    pub passed: Vec<Passed>,
    /// For each effect, the point that it came after.
    effects: Vec<u32>,
    /// The last point of the function that runs at each depth.
    last: Vec<Option<u32>>,
}

/// Where a step goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// The next line, whatever function it is in.
    Into,
    /// The next line of this function, or of what called it.
    Over,
    /// What called this function.
    Out,
    /// The next effect, right before it is made.
    Effect,
    /// The next breakpoint, or the end.
    Continue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Back,
}

/// What a breakpoint stops at.
#[derive(Debug, Clone)]
pub(super) enum Stops {
    /// The points themselves.
    At(Vec<u32>),
    /// Where a line begins, at one of these points.
    Line(Vec<u32>),
}

impl Trace {
    /// `frames`: functions that run, without those inlined.
    pub fn push(&mut self, points: &Points, point: u32, frames: usize) {
        let at = &points.all[point as usize];
        if !at.own {
            self.passed.push(Passed { point, depth: 0, begins: false });
            return;
        }
        let depth = frames + usize::from(at.inlined);
        self.last.resize(depth + 1, None);
        let goes_on = self.last[depth].is_some_and(|last| {
            let last_at = &points.all[last as usize];
            last_at.function == at.function && last_at.module == at.module && last_at.line == at.line && last < point
        });
        // Without lines, every function that is entered is one.
        let begins = at.line.is_none() || !goes_on;
        self.last[depth] = Some(point);
        self.passed.push(Passed { point, depth: u16::try_from(depth).unwrap_or(u16::MAX), begins });
    }

    /// Effects were made since the last point, so that there are `performed`.
    pub fn performed(&mut self, performed: usize) {
        let place = self.passed.len().saturating_sub(1) as u32;
        self.effects.resize(performed.max(self.effects.len()), place);
    }

    /// The end: after the last point.
    pub fn end(&self) -> usize {
        self.passed.len()
    }

    /// The first line.
    pub fn beginning(&self) -> usize {
        self.passed.iter().position(|passed| passed.begins).unwrap_or(self.end())
    }

    /// Where one of these points is first passed.
    pub fn first_at(&self, points: &[u32]) -> Option<usize> {
        self.passed.iter().position(|passed| points.binary_search(&passed.point).is_ok())
    }

    /// Effects that were made before a place.
    pub fn effects_before(&self, place: usize) -> usize {
        self.effects.partition_point(|effect| (*effect as usize) < place)
    }

    /// Where effect `number`, from 1, comes next.
    pub fn before_effect(&self, number: usize) -> Option<usize> {
        Some(*self.effects.get(number.checked_sub(1)?)? as usize)
    }

    /// Where a step from `place` goes. Nothing further on: the end, or the beginning.
    pub fn target(&self, place: usize, motion: Motion, direction: Direction, breakpoints: &[Stops]) -> usize {
        let depth = self.depth(place);
        let stops = |index: &usize| {
            let passed = &self.passed[*index];
            match motion {
                Motion::Into => passed.begins,
                // The end is in no function: from there, back is the last line.
                Motion::Over => passed.begins && depth.is_none_or(|depth| passed.depth <= depth),
                Motion::Out => passed.depth > 0 && depth.is_none_or(|depth| passed.depth < depth),
                Motion::Effect => self.effects.binary_search(&(*index as u32)).is_ok(),
                Motion::Continue => breakpoints.iter().any(|stops| self.hits(passed, stops)),
            }
        };
        match direction {
            Direction::Forward => (place + 1..self.end()).find(stops).unwrap_or(self.end()),
            Direction::Back => (0..place.min(self.end())).rev().find(stops).unwrap_or(self.beginning()),
        }
    }

    /// How deep the function at a place is; where steps do not stop, the last one where they do.
    fn depth(&self, place: usize) -> Option<u16> {
        let depth = self.passed.get(place)?.depth;
        match depth {
            0 => self.passed[..place].iter().rev().map(|passed| passed.depth).find(|depth| *depth > 0),
            depth => Some(depth),
        }
    }

    fn hits(&self, passed: &Passed, stops: &Stops) -> bool {
        match stops {
            Stops::At(points) => points.binary_search(&passed.point).is_ok(),
            Stops::Line(points) => passed.begins && points.binary_search(&passed.point).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoke::debug::points::Point;

    /// Two functions: 0 has lines 1 to 3, and calls 1, which has lines 11 and 12.
    fn points() -> Points {
        let point = |index: u32| {
            let (function, line) = if index < 3 { (0, index + 1) } else { (1, index + 8) };
            Point { module: 0, pc: index, function, line: Some((0, line)), inlined: 0, own: true }
        };
        let mut points = Points::default();
        points.all.extend((0..5).map(point));
        points
    }

    /// Line 2 calls the other function twice; an effect is made on line 12 of the second call.
    fn trace() -> Trace {
        let (points, mut trace) = (points(), Trace::default());
        for (point, depth) in [(0, 1), (1, 1), (3, 2), (4, 2), (3, 2), (4, 2), (2, 1)] {
            trace.push(&points, point, depth);
            if trace.passed.len() == 6 {
                trace.performed(1);
            }
        }
        trace
    }

    #[track_caller]
    fn check(from: usize, motion: Motion, forward: usize, back: usize) {
        let trace = trace();
        let breakpoints = [Stops::Line(vec![4])];
        let to = |direction| trace.target(from, motion, direction, &breakpoints);
        assert_eq!((to(Direction::Forward), to(Direction::Back)), (forward, back), "{motion:?} from {from}");
    }

    #[test]
    fn a_step_goes_to_the_next_line_and_back_to_the_one_before() {
        check(1, Motion::Into, 2, 0);
        check(3, Motion::Into, 4, 2);
        check(7, Motion::Into, 7, 6);
    }

    #[test]
    fn a_step_over_or_out_passes_what_is_called() {
        check(1, Motion::Over, 6, 0);
        check(6, Motion::Over, 7, 1);
        check(3, Motion::Out, 6, 1);
        check(7, Motion::Over, 7, 6);
    }

    #[test]
    fn effects_and_breakpoints_stop_it_and_the_ends_do() {
        check(0, Motion::Effect, 5, 0);
        check(6, Motion::Effect, 7, 5);
        check(3, Motion::Continue, 5, 0);
        check(5, Motion::Continue, 7, 3);
        assert_eq!((trace().before_effect(1), trace().before_effect(2)), (Some(5), None));
        assert_eq!((trace().effects_before(5), trace().effects_before(6)), (0, 1));
    }
}
