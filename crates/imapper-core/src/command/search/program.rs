//! The keys of a SEARCH as a program: each test says where to go on when it is true and when it is not.
//!
//! The operators are in the jumps, so that parsing, running and dropping are loops, however deep a client nests
//! `NOT` and `OR`; and since all jumps go forward, one message costs at most one look at each test.

use crate::command::search::keys;
use crate::registry::slots::{Cost, SearchTerm, SearchTest, Searching};
use crate::registry::{Context, Registry};
use crate::session::{Reject, Selected};
use crate::wire::Args;

/// Where a test leads to: another one, or one of the two ends.
type Target = u32;
/// The message is found.
const FOUND: Target = u32::MAX;
/// The message is not found.
const PASSED_OVER: Target = u32::MAX - 1;

/// What a SEARCH, or a command that searches as part of what it does, is looking for.
pub struct Program {
    tests: Vec<Box<dyn SearchTest>>,
    costs: Vec<Cost>,
    jumps: Vec<Jump>,
}

#[derive(Clone, Copy)]
struct Jump {
    yes: Target,
    no: Target,
}

/// A node of the tree of keys. Nodes stand in the order in which they begin, so those below one are the ones
/// up to its end.
struct Node {
    what: What,
    // The node after the last one below this one.
    end: usize,
    // The first test at or below it.
    test: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Test,
    Not,
    And,
    Or,
}

/// A node that is not yet complete.
enum Open {
    /// The keys of the command, up to its end.
    All,
    /// Keys in parentheses.
    List(usize),
    Not(usize),
    /// Whether its first key is complete.
    Or(usize, bool),
}

impl Program {
    /// Reads search keys up to the end of the arguments (RFC 3501 §9, search-key). `charset` is that of the
    /// strings in them.
    pub fn parse(
        cx: &Context<'_>,
        selected: &Selected,
        args: &mut Args<'_>,
        charset: &str,
    ) -> Result<Self, Reject> {
        Self::read(&cx.shared.registry, selected, args, charset)
    }

    pub(super) fn read(
        registry: &Registry,
        selected: &Selected,
        args: &mut Args<'_>,
        charset: &str,
    ) -> Result<Self, Reject> {
        let search = Searching::new(registry, charset, selected);
        let mut tree = Tree { nodes: Vec::new(), tests: Vec::new(), open: Vec::new(), depth: 0 };
        tree.begin(What::And, |_| Open::All);
        while !tree.open.is_empty() {
            tree.key(args, &search)?;
        }
        Ok(Self::compile(&tree.nodes, tree.tests))
    }

    fn compile(nodes: &[Node], tests: Vec<Box<dyn SearchTest>>) -> Self {
        let mut jumps = vec![Jump { yes: FOUND, no: PASSED_OVER }; nodes.len()];
        let mut program = Vec::with_capacity(tests.len());
        for (at, node) in nodes.iter().enumerate() {
            let Some(&jump) = jumps.get(at) else { break };
            if node.what == What::Test {
                program.push(jump);
                continue;
            }
            let mut child = at + 1;
            while let Some(below) = nodes.get(child).filter(|_| child < node.end) {
                // What comes after this child, if anything of this node does.
                let next =
                    nodes.get(below.end).filter(|_| below.end < node.end).map(|next| target(next.test));
                if let Some(slot) = jumps.get_mut(child) {
                    *slot = match node.what {
                        What::Not => Jump { yes: jump.no, no: jump.yes },
                        What::Or => Jump { yes: jump.yes, no: next.unwrap_or(jump.no) },
                        What::And | What::Test => Jump { yes: next.unwrap_or(jump.yes), no: jump.no },
                    };
                }
                child = below.end;
            }
        }
        let costs = tests.iter().map(|test| test.cost()).collect();
        Self { tests, costs, jumps: program }
    }

    /// The keys, without their operators.
    pub fn tests(&self) -> impl Iterator<Item = &dyn SearchTest> {
        self.tests.iter().map(|test| &**test)
    }

    pub(super) fn tests_mut(&mut self) -> impl Iterator<Item = &mut (dyn SearchTest + 'static)> {
        self.tests.iter_mut().map(|test| &mut **test)
    }

    /// What the most costly key costs.
    pub fn cost(&self) -> Cost {
        self.costs.iter().copied().max().unwrap_or_default()
    }

    pub(super) fn has(&self, cost: Cost) -> bool {
        self.costs.contains(&cost)
    }

    pub(super) fn len(&self) -> usize {
        self.tests.len()
    }

    /// Decides by tests that all can be made.
    pub(super) fn holds(&self, mut test: impl FnMut(usize, &dyn SearchTest) -> bool) -> bool {
        let mut at = 0;
        while let (Some(jump), Some(key)) = (self.jumps.get(index(at)), self.tests.get(index(at))) {
            at = if test(index(at), &**key) { jump.yes } else { jump.no };
        }
        at == FOUND
    }

    /// Decides by the tests that can be made; `None` if it hangs on one that can't, of which `test` gives
    /// `None`. `reached` is memory to be used again.
    pub(super) fn decide(
        &self,
        reached: &mut Vec<bool>,
        mut test: impl FnMut(usize, &dyn SearchTest, Cost) -> Option<bool>,
    ) -> Option<bool> {
        reached.clear();
        reached.resize(self.jumps.len(), false);
        let (mut found, mut passed_over) = (false, false);
        let mut go = |reached: &mut [bool], to: Target| match to {
            FOUND => found = true,
            PASSED_OVER => passed_over = true,
            to => {
                if let Some(slot) = reached.get_mut(index(to)) {
                    *slot = true;
                }
            }
        };
        go(reached, 0);
        // Every test occurs once, so whatever can still be reached when those that are not known are let be
        // both is what can still come out.
        let steps = self.tests.iter().zip(&self.costs).zip(&self.jumps);
        for (at, ((key, cost), jump)) in steps.enumerate() {
            if reached.get(at) != Some(&true) {
                continue;
            }
            let known = test(at, &**key, *cost);
            if known != Some(false) {
                go(reached, jump.yes);
            }
            if known != Some(true) {
                go(reached, jump.no);
            }
        }
        match (found, passed_over) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        }
    }
}

/// A tree that is being read.
struct Tree {
    nodes: Vec<Node>,
    tests: Vec<Box<dyn SearchTest>>,
    open: Vec<Open>,
    // Parentheses.
    depth: usize,
}

impl Tree {
    fn begin(&mut self, what: What, open: impl FnOnce(usize) -> Open) {
        self.open.push(open(self.nodes.len()));
        self.nodes.push(Node { what, end: 0, test: self.tests.len() });
    }

    /// Reads a key as far as it goes before another one begins.
    fn key(&mut self, args: &mut Args<'_>, search: &Searching<'_>) -> Result<(), Reject> {
        if args.eat(b'(') {
            self.depth += 1;
            args.deeper(self.depth)?;
            self.begin(What::And, Open::List);
            return Ok(());
        }
        if args.eat_word("NOT") {
            args.sp()?;
            self.begin(What::Not, Open::Not);
            return Ok(());
        }
        if args.eat_word("OR") {
            args.sp()?;
            self.begin(What::Or, |at| Open::Or(at, false));
            return Ok(());
        }
        match args.peek() {
            Some(b'0'..=b'9' | b'*') => self.add([SearchTerm::Test(keys::numbers(args, search)?)]),
            _ => self.add(search.terms(args)?),
        }
        self.ended(args)
    }

    /// Adds what a key stands for.
    fn add(&mut self, terms: impl IntoIterator<Item = SearchTerm>) {
        // Operators, and how many of the nodes below each are still to come.
        let mut open: Vec<(usize, usize)> = Vec::new();
        for term in terms {
            let at = self.nodes.len();
            let test = self.tests.len();
            let (what, below) = match term {
                SearchTerm::Test(test) => {
                    self.tests.push(test);
                    (What::Test, 0)
                }
                SearchTerm::Not => (What::Not, 1),
                SearchTerm::All(count) => (What::And, count),
                SearchTerm::Any(count) => (What::Or, count),
            };
            self.nodes.push(Node { what, end: at + 1, test });
            if below > 0 {
                open.push((at, below));
                continue;
            }
            while let Some((node, below)) = open.last_mut() {
                *below -= 1;
                if *below > 0 {
                    break;
                }
                let (node, end) = (*node, self.nodes.len());
                if let Some(node) = self.nodes.get_mut(node) {
                    node.end = end;
                }
                open.pop();
            }
        }
    }

    /// A key is complete: so may be those around it.
    fn ended(&mut self, args: &mut Args<'_>) -> Result<(), Reject> {
        while let Some(open) = self.open.last_mut() {
            let node = match open {
                Open::All if args.is_end() => 0,
                Open::All => return Ok(args.sp()?),
                Open::List(_) if args.eat(b' ') => return Ok(()),
                Open::List(node) => {
                    args.expect(b')')?;
                    self.depth -= 1;
                    *node
                }
                Open::Or(_, complete @ false) => {
                    *complete = true;
                    return Ok(args.sp()?);
                }
                Open::Not(node) | Open::Or(node, true) => *node,
            };
            let end = self.nodes.len();
            if let Some(node) = self.nodes.get_mut(node) {
                node.end = end;
            }
            self.open.pop();
        }
        Ok(())
    }
}

fn index(target: Target) -> usize {
    usize::try_from(target).unwrap_or(usize::MAX)
}

/// A command is not long enough for more tests than there are targets.
fn target(test: usize) -> Target {
    Target::try_from(test).unwrap_or(PASSED_OVER)
}
