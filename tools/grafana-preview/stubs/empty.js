export default {};
export const loader = { config() {}, init() {} };
export const DiffEditor = () => null;
export const Editor = () => null;
export const useMonaco = () => null;
