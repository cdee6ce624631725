OPENTEAM=~/.openteam python3 orders.py acme/acme-na ATVPDKIKX0DER
