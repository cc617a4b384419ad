"""The example app: a shop. A checkout fans out, a sign-up sends on, an import sends hundreds, a
report runs each morning by itself; new customers are looked after for days, an order that fails is
undone, suppliers are asked beside each other, and a return has another function refund it."""
