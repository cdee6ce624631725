const fs = require('node:fs');
const https = require('node:https');
const path = require('node:path');
const SellingPartner = require('amazon-sp-api');

const read = (name) => fs.readFileSync(path.join(process.env.OPENTEAM ?? '/var/run/openteam', name), 'utf8').trim();

// The library knows Amazon's addresses only. Its calls to them go to the gateway; documents come from where they are.
const { hostname: host, port } = new URL(read('url'));
const gateway = { host, port: port || 443, servername: host, ca: read('ca.crt') };

class Agent extends https.Agent {
  createConnection(options, done) {
    const amazon = options.host.endsWith('.amazon.com');
    return super.createConnection(amazon ? { ...options, ...gateway } : options, done);
  }
}

const agent = new Agent({ keepAlive: true });
const clients = {};

/** The client for a connection, such as acme/acme-na. Ask anew at each use: the kubelet renews the token, and a client
 * keeps the one it was made with. */
exports.client = (connection) => {
  const refresh_token = `${connection}~${read('token')}`;
  if (clients[connection]?.refresh_token !== refresh_token) {
    const partner = new SellingPartner({
      region: 'na', // Not looked at: the connection has its region.
      refresh_token,
      credentials: { SELLING_PARTNER_APP_CLIENT_ID: 'unused', SELLING_PARTNER_APP_CLIENT_SECRET: 'unused' },
      options: { https_proxy_agent: agent },
    });
    clients[connection] = { refresh_token, partner };
  }
  return clients[connection].partner;
};
