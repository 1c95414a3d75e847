//! stand-in
pub struct VendorTable;
impl VendorTable { pub fn is_llm(&self, _h: Option<&str>, _p: Option<u16>, _path: Option<&str>) -> bool { true } }
