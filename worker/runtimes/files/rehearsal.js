// What the client for Node loads and calls before there is a function to serve.
exports.handler = async (event) => ({ event, text: 'text' });
