#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| imapper_fuzz_targets::fetch::run(input));
