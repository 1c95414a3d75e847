//! stand-in
pub struct VendorTable;
impl VendorTable {
    pub fn builtin() -> Self {
        VendorTable
    }
    pub fn is_llm(&self, h: Option<&str>, _p: Option<u16>, _path: Option<&str>) -> bool {
        h == Some("api.openai.com")
    }
    pub fn vendor(&self, h: Option<&str>, p: Option<u16>, path: Option<&str>) -> Option<String> {
        self.is_llm(h, p, path).then(|| "openai".into())
    }
    pub fn operation_of(&self, _h: Option<&str>, _path: &str) -> Option<String> {
        None
    }
}
