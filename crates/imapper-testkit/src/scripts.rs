//! The scripts and fixtures that come with the kit, as part of the program.

/// Name (`folder/file`) and text of each script.
pub(crate) const SCRIPTS: &[(&str, &str)] = &[
];

/// Name and text of each fixture.
pub(crate) const FIXTURES: &[(&str, &str)] = &[
];
