//! Functions of the kernel that programs call, found in its BTF.

use aya::{Btf, util::KernelVersion};
use aya_obj::{btf::BtfKind, generated::bpf_insn};
use tracer_ebpf::kfunc::ALL;

use super::sys;

/// From this version on programs of uprobes must not be preempted, see `preemption.rs` of the probes.
const PREEMPTION_HARMS_SINCE: (u8, u8, u16) = (6, 13, 0);

/// `BPF_ALU64 | BPF_MOV | BPF_K`, include/uapi/linux/bpf.h: sets the register 0 to 0, where a function's result is.
const NO_RESULT: u8 = 0xb7;

/// `BPF_PSEUDO_KFUNC_CALL`, include/uapi/linux/bpf.h.
const PSEUDO_KFUNC_CALL: u8 = 2;

/// Numbers of the functions' types in this kernel's BTF, in the order of [`ALL`].
#[derive(Debug)]
pub struct Kfuncs(Option<[u32; ALL.len()]>);

impl Kfuncs {
    /// Finds them. The error, a clause for the user, is that a kernel has none which must have them.
    pub fn find(btf: &Btf) -> Result<Kfuncs, String> {
        let mut numbers = [0; ALL.len()];
        for (number, (_, name)) in numbers.iter_mut().zip(ALL) {
            match btf.id_by_type_name_kind(name, BtfKind::Func) {
                Ok(found) => *number = found,
                Err(_) => return Kfuncs::none(name, KernelVersion::current().ok()),
            }
        }
        Ok(Kfuncs(Some(numbers)))
    }

    fn none(name: &str, kernel: Option<KernelVersion>) -> Result<Kfuncs, String> {
        let (major, minor, patch) = PREEMPTION_HARMS_SINCE;
        match kernel {
            Some(version) if version < KernelVersion::new(major, minor, patch) => Ok(Kfuncs(None)),
            _ => Err(format!(
                "this kernel has no function `{name}`, without which programs of uprobes would do harm from \
                 {major}.{minor} on"
            )),
        }
    }

    /// Makes the calls in a program's code those of the functions, or leaves them out.
    pub fn write_into(&self, code: &mut [bpf_insn]) {
        let calls = code.iter_mut().filter(|instruction| instruction.code == sys::CALL);
        for instruction in calls.filter(|call| call.src_reg() == 0) {
            let Some(index) = ALL.iter().position(|&(placeholder, _)| placeholder == instruction.imm) else {
                continue;
            };
            match self.0 {
                Some(numbers) => {
                    instruction.set_src_reg(PSEUDO_KFUNC_CALL);
                    instruction.imm = numbers[index] as i32;
                }
                None => *instruction = sys::instruction(NO_RESULT),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::kfunc::{PREEMPT_DISABLE, PREEMPT_ENABLE};

    use super::*;

    fn call(function: i32) -> bpf_insn {
        bpf_insn { imm: function, ..sys::instruction(sys::CALL) }
    }

    fn written(kfuncs: &Kfuncs, functions: &[i32]) -> Vec<(u8, u8, i32)> {
        let mut code: Vec<bpf_insn> = functions.iter().map(|&function| call(function)).collect();
        kfuncs.write_into(&mut code);
        code.iter().map(|written| (written.code, written.src_reg(), written.imm)).collect()
    }

    #[test]
    fn calls_get_the_numbers_of_this_kernel() {
        let kfuncs = Kfuncs(Some([7001, 7002]));
        let code = written(&kfuncs, &[PREEMPT_DISABLE, 14, PREEMPT_ENABLE]);
        assert_eq!(code, [(0x85, 2, 7001), (0x85, 0, 14), (0x85, 2, 7002)]);
    }

    #[test]
    fn calls_are_left_out_where_there_is_no_such_function() {
        let code = written(&Kfuncs(None), &[PREEMPT_DISABLE, 14]);
        assert_eq!(code, [(0xb7, 0, 0), (0x85, 0, 14)]);
    }

    #[test]
    fn a_kernel_that_must_have_them_and_has_not_gets_no_such_programs() {
        let kernel = |major, minor| Some(KernelVersion::new(major, minor, 0));
        assert!(Kfuncs::none("f", kernel(6, 12)).is_ok());
        let refused = Kfuncs::none("f", kernel(6, 13)).expect_err("must be refused");
        assert!(refused.starts_with("this kernel has no function `f`"), "{refused}");
        assert!(Kfuncs::none("f", None).is_err());
    }
}
