const { client } = require('./connect.js');

const [connection, marketplace] = process.argv.slice(2); // acme/acme-na ATVPDKIKX0DER

async function main() {
  const { Orders } = await client(connection).callAPI({
    operation: 'orders.getOrders',
    query: { MarketplaceIds: [marketplace], CreatedAfter: '2020-01-01T00:00:00Z' },
  });
  for (const order of Orders) console.log(order.AmazonOrderId);
}

main();
