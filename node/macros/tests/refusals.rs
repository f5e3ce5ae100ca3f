//! What the attribute says about functions that cannot be tasks. These tests live here and not with
//! the others of `#[umbel::task]`, because trybuild checks everything that the package depends on
//! once more: next to nothing here, minutes there.

#[test]
fn says_what_cannot_be_a_task() {
    trybuild::TestCases::new().compile_fail("tests/refusals/*.rs");
}
