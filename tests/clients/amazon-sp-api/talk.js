// Answers commands on standard input, `CALL CONNECTION MARKETPLACE`, with a line of JSON each, in one process.
const readline = require('node:readline');
const { client } = require('./connect.js');

const calls = {
  async orders(connection, marketplace) {
    const { Orders } = await client(connection).callAPI({
      operation: 'orders.getOrders',
      query: { MarketplaceIds: [marketplace], CreatedAfter: '2020-01-01T00:00:00Z' },
    });
    return Orders.map((order) => order.AmazonOrderId);
  },

  async items(connection, marketplace) {
    const { items } = await client(connection).callAPI({
      operation: 'catalogItems.searchCatalogItems',
      query: { marketplaceIds: [marketplace], keywords: ['mug'] },
      options: { version: '2022-04-01' },
    });
    return items.map((item) => item.asin);
  },
};

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [call, ...names] = line.split(' ');
    let answer;
    try {
      answer = { answer: await calls[call](...names) };
    } catch (error) {
      answer = { error: error.constructor.name, code: error.code, message: error.message, details: error.details };
    }
    console.log(JSON.stringify(answer));
  }
}

main();
