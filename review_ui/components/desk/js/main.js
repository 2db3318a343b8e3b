// What Streamlit calls: once when the desk is put on the page, and again with each delivery.

import { Desk } from "./desk.js";

const desks = new WeakMap();

export default function render({ data, parentElement, setStateValue }) {
  let desk = desks.get(parentElement);
  if (!desk) {
    desk = new Desk(parentElement, data, (up) => setStateValue("up", up));
    desks.set(parentElement, desk);
  }
  desk.send = (up) => setStateValue("up", up);
  desk.take(data);
  return () => {
    desk.close();
    desks.delete(parentElement);
  };
}
